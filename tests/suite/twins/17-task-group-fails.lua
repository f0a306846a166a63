local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local function bare(message) return (message:gsub("^[%w-]+%.lua:%d+: ", "")) end
local main

local part = async(function(name, seconds, breaks)
  local _ <close> = finally(function() say(name, "leaves") end)
  await(sleep(seconds))
  if breaks then error(name, 0) end
end)

main = async(function()
  local ok, message = pcall(function()
    await(task_group(function(group)
      group:create_task(part("a", 1, true))
      group:create_task(part("b", 9, false))
      local _ <close> = finally(function() say("body leaves") end)
      await(sleep(60))
    end))
  end)
  if not ok then say("caught", bare(message)) end
end)

return { title = "task-group-fails", lesson = "The twin of 17-task-group-fails.py.", main = async(function() return await(main()) end) }
