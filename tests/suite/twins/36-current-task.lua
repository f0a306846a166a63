local function say(...) print(string.format("%.1f", now()), ...) end
local main

local who = async(function()
  await(sleep(0))
  say(current_task():name())
end)

main = async(function()
  local a = create_task(who(), { name = "a" })
  local b = create_task(who(), { name = "b" })
  local names = {}
  for _, task in ipairs(all_tasks()) do
    if task ~= current_task() then names[#names + 1] = task:name() end
  end
  say(table.unpack(names))
  await(gather(a, b))
  say(#all_tasks())
end)

return { title = "current-task", lesson = "The twin of 36-current-task.py.", main = async(function() return await(main()) end) }
