local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local steps = async(function()
  local _ <close> = finally(function()
    await(sleep(1))
    error("cleanup failed", 0)
  end)
  await(sleep(60))
end)

main = async(function()
  local task = create_task(steps())
  await(sleep(1))
  task:cancel()
  await(wait({ task }))
  say(task:cancelled(), task:exception().message)
end)

return { title = "error-in-cleanup", lesson = "The twin of 33-error-in-cleanup.py.", main = async(function() return await(main()) end) }
