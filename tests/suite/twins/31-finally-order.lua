local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local steps = async(function()
  local _ <close> = finally(function()
    say("outer begins")
    await(sleep(1))
    say("outer ends")
  end)
  local _ <close> = finally(function()
    say("inner begins")
    await(sleep(1))
    say("inner ends")
  end)
  await(sleep(60))
end)

main = async(function()
  local task = create_task(steps())
  await(sleep(1))
  task:cancel()
  await(wait({ task }))
  say(task:cancelled())
end)

return { title = "finally-order", lesson = "The twin of 31-finally-order.py.", main = async(function() return await(main()) end) }
