local f = async(function()
  print("2  f begins: still the same poll, no other task has run")
  await(sleep(1))                 -- suspends: control returns to the loop
  print("4  f goes on where it was suspended")
  return "f's result"
end)

local g = async(function()
  print("1  g begins")
  local result = await(f())       -- g suspends where f suspends, and resumes when f returns
  print("5  g has " .. result)
end)

local other = async(function()
  print("3  another task runs while g and f are suspended")
end)

return {
  title  = "Where await suspends",
  lesson = "await suspends a task until the awaited value is ready; other tasks run meanwhile. Awaiting a coroutine "
        .. "runs it directly: control returns to the loop only when something is not ready.",
  clock  = "virtual",
  expects = { findings = {} },
  main = async(function() await(gather(g(), other())) end),
}
