local function say(...) print(string.format("%.1f", now()), ...) end
local function bare(message) return (message:gsub("^[%w-]+%.lua:%d+: ", "")) end
local main

local part = async(function(name, seconds)
  local ok = catch_cancelled(function() await(sleep(seconds)) end)
  error(ok and name or name .. " in cleanup", 0)
end)

main = async(function()
  local ok, message = pcall(function()
    await(task_group(function(group)
      group:create_task(part("a", 1))
      group:create_task(part("b", 9))
    end))
  end)
  local first, count, second = message:match("(%w+) %(and (%d+) more error in the task group: (.*)%)")
  say(count + 1, "errors", first == "a", bare(second))
end)

return { title = "task-group-two-errors", lesson = "The twin of 18-task-group-two-errors.py.", main = async(function() return await(main()) end) }
