local function say(...) print(string.format("%.1f", now()), ...) end
local main

local part = async(function(name, seconds)
  await(sleep(seconds))
  say(name)
  return seconds
end)

main = async(function()
  local a, b
  await(task_group(function(group)
    a = group:create_task(part("a", 2))
    b = group:create_task(part("b", 1))
    say("created")
  end))
  say(a:result(), b:result())
end)

return { title = "task-group", lesson = "The twin of 16-task-group.py.", main = async(function() return await(main()) end) }
