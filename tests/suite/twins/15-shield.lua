local function say(...) print(string.format("%.1f", now()), ...) end
local main

local job = async(function()
  await(sleep(3))
  say("job done")
  return 42
end)

main = async(function()
  local task = create_task(job())
  if not pcall(function() await(timeout(1, shield(task))) end) then say("timed out", task:done()) end
  say(await(task))
end)

return { title = "shield", lesson = "The twin of 15-shield.py.", main = async(function() return await(main()) end) }
