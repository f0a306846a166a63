local f = async(function()
  print("2  f begins: still the same turn, nobody else has run")
  await(sleep(1))                 -- pause here: control goes back to the loop
  print("4  f goes on where it paused")
  return "f's result"
end)

local g = async(function()
  print("1  g begins")
  local result = await(f())       -- g pauses where f pauses, and goes on when f is done
  print("5  g has " .. result)
end)

local other = async(function()
  print("3  somebody else has a turn while g and f are paused")
end)

return {
  title  = "Pause here",
  lesson = "await says: pause here until this is ready, and let the others run. Control goes straight into f; it comes "
        .. "back to the loop only where something really has to be waited for.",
  clock  = "virtual",
  expects = { findings = {} },
  main = async(function() await(gather(g(), other())) end),
}
