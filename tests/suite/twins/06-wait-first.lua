local function say(...) print(string.format("%.1f", now()), ...) end
local main

local nap = async(function(seconds)
  await(sleep(seconds))
  return seconds
end)

main = async(function()
  local tasks = {}
  for _, seconds in ipairs({ 3, 1, 2 }) do tasks[#tasks + 1] = create_task(nap(seconds)) end
  local done, pending = await(wait(tasks, { return_when = "first" }))
  say(#done, #pending, done[1]:result())
  done, pending = await(wait(pending))
  say(#done, #pending, done[1]:result() == 3 and done[2]:result() == 2)
end)

return { title = "wait-first", lesson = "The twin of 06-wait-first.py.", main = async(function() return await(main()) end) }
