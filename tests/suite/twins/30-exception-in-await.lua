local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local function bare(message) return (message:gsub("^[%w-]+%.lua:%d+: ", "")) end
local main

local inner = async(function()
  await(sleep(1))
  error("gone", 0)
end)

local outer = async(function()
  local _ <close> = finally(function() say("outer leaves") end)
  await(inner())
end)

main = async(function()
  local task = create_task(outer())
  local ok, message = pcall(await, task)
  if not ok then say("caught", bare(message), message == tostring(task:exception())) end
  say(task:done(), task:cancelled())
end)

return { title = "exception-in-await", lesson = "The twin of 30-exception-in-await.py.", main = async(function() return await(main()) end) }
