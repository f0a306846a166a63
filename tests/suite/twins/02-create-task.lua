local function say(...) print(string.format("%.1f", now()), ...) end
local main

local work = async(function(name, seconds)
  say(name, "begins")
  await(sleep(seconds))
  say(name, "ends")
  return name:upper()
end)

main = async(function()
  local a = create_task(work("a", 2))
  local b = create_task(work("b", 1))
  say("created", a:done(), b:done())
  say(await(a), await(b))
  say(a:done(), b:done())
end)

return { title = "create-task", lesson = "The twin of 02-create-task.py.", main = async(function() return await(main()) end) }
