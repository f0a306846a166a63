-- Slow at first, quicker with every attempt.
local request = async(function(attempt)
  await(sleep(8 / attempt))
  return "answered"
end)

local patiently = async(function(p)
  local pause = p.pause
  for attempt = 1, p.attempts do
    local in_time, answer = pcall(function() return await(timeout(p.patience, request(attempt))) end)
    if in_time then return { answer = answer, attempt = attempt, seconds = now() } end
    print("attempt " .. attempt .. " gave up at " .. now() .. " s, and waits " .. pause .. " s")
    await(sleep(pause))
    pause = pause * 2                       -- each pause is twice the one before
  end
  fail("no answer in " .. p.attempts .. " attempts")
end)

return {
  title  = "Give up, wait, try again",
  lesson = "timeout cancels what takes too long, so nothing is left behind. Pauses that double give the other side "
        .. "time.",
  clock  = "virtual",
  params = {
    attempts = { default = 5, min = 1, max = 100, help = "how often it is tried" },
    patience = { default = "3s", min = "1ms", max = "1h", help = "how long each attempt may take" },
    pause = { default = "1s", min = "1ms", max = "1h", help = "the first pause between two attempts" },
  },
  expects = { findings = {} },
  main = async(function(p) return await(patiently(p)) end),
}
