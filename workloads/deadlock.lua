local fine = async(function()
  await(sleep("10s"))
  print("somebody else is fine, and notices nothing")
end)

local transfer = async(function(from, to)
  local first <close> = await(from:lock())
  await(sleep("10ms"))                          -- the other one takes its first lock meanwhile
  local second <close> = await(to:lock())       -- and now each waits for what the other holds
  print("never reached")
end)

return {
  title  = "Two locks, two orders",
  lesson = "Each task holds one lock and waits for the other's, for ever. Nothing crashes; it is just that nothing "
        .. "happens any more. Whoever takes locks in one order never gets here. (This run ends as failed: that is "
        .. "the lesson.)",
  clock  = "virtual",
  expects = { findings = { "deadlock" }, outcome = "failed" },
  main = async(function()
    local left, right = mutex{ name = "left" }, mutex{ name = "right" }
    await(gather(transfer(left, right), transfer(right, left), fine()))
  end),
}
