local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local sleeper = async(function()
  say("begins")
  local _ <close> = finally(function() say("cleanup") end)
  await(sleep(60))
  say("never")
end)

main = async(function()
  local task = create_task(sleeper())
  await(sleep(1))
  say(task:cancel(), task:done())
  if not pcall(await, task) then say("cancelled", task:cancelled(), task:cancel()) end
end)

return { title = "cancel-uncaught", lesson = "The twin of 10-cancel-uncaught.py.", main = async(function() return await(main()) end) }
