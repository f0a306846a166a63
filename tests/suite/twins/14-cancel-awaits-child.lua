local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local child = async(function()
  local _ <close> = finally(function()
    say("child leaves")
    await(sleep(1))
  end)
  await(sleep(60))
end)

local parent = async(function(task)
  local _ <close> = finally(function() say("parent leaves", task:cancelled()) end)
  await(task)
end)

main = async(function()
  local inner = create_task(child())
  local outer = create_task(parent(inner))
  await(sleep(1))
  outer:cancel()
  await(wait({ outer }))
  say(inner:cancelled(), outer:cancelled())
end)

return { title = "cancel-awaits-child", lesson = "The twin of 14-cancel-awaits-child.py.", main = async(function() return await(main()) end) }
