local function say(...) print(string.format("%.1f", now()), ...) end
local main

local stubborn = async(function()
  local ok, message = catch_cancelled(function() await(sleep(60)) end)
  if not ok then say("caught", message) end
  await(sleep(2))
  return "kept on"
end)

main = async(function()
  local task = create_task(stubborn())
  await(sleep(1))
  task:cancel("please stop")
  say(await(task), task:cancelled())
end)

return { title = "cancel-caught", lesson = "The twin of 11-cancel-caught.py.", main = async(function() return await(main()) end) }
