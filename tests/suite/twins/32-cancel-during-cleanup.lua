local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local steps = async(function()
  local _ <close> = finally(function()
    say("cleanup begins")
    local ok, message, cancel = catch_cancelled(function() await(sleep(60)) end)
    if not ok then
      say("cancelled again", message)
      error(cancel)
    end
  end)
  await(sleep(60))
end)

main = async(function()
  local task = create_task(steps())
  await(sleep(1))
  task:cancel("first")
  await(sleep(1))
  task:cancel("second")
  await(wait({ task }))
  say(task:cancelled())
end)

return { title = "cancel-during-cleanup", lesson = "The twin of 32-cancel-during-cleanup.py.", main = async(function() return await(main()) end) }
