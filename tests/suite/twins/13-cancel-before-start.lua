local function say(...) print(string.format("%.1f", now()), ...) end
local main

local never = async(function() say("never") end)

main = async(function()
  local task = create_task(never())
  task:cancel()
  if not pcall(await, task) then say("cancelled", task:cancelled()) end
end)

return { title = "cancel-before-start", lesson = "The twin of 13-cancel-before-start.py.", main = async(function() return await(main()) end) }
