local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local part = async(function(name)
  local _ <close> = finally(function() say(name, "leaves") end)
  await(sleep(60))
end)

local both = async(function() await(gather(part("a"), part("b"))) end)

main = async(function()
  local task = create_task(both())
  await(sleep(1))
  task:cancel()
  if not pcall(await, task) then say("cancelled", task:cancelled()) end
  say(#all_tasks())
end)

return { title = "cancel-gather", lesson = "The twin of 40-cancel-gather.py.", main = async(function() return await(main()) end) }
