local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local service = async(function(name)
  local _ <close> = finally(function()
    say(name, "stops")
    await(sleep(1))
    say(name, "stopped")
  end)
  await(sleep(60))
end)

main = async(function()
  local task = create_task(service("service"))
  await(sleep(1))
  say("main ends", task:done())
end)

return { title = "end-of-run", lesson = "The twin of 39-end-of-run.py.", main = async(function() return await(main()) end) }
