local function say(...) print(string.format("%.1f", now()), ...) end
local main

local polite = async(function()
  local ok, _, cancel = catch_cancelled(function() await(sleep(60)) end)
  if not ok then
    say("saving")
    await(sleep(1))
    say("saved")
    error(cancel)
  end
end)

main = async(function()
  local task = create_task(polite())
  await(sleep(1))
  task:cancel()
  if not pcall(await, task) then say(task:cancelled(), task:done()) end
end)

return { title = "cancel-reraised", lesson = "The twin of 12-cancel-reraised.py.", main = async(function() return await(main()) end) }
