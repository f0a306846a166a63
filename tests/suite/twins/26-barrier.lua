local function say(...) print(string.format("%.1f", now()), ...) end
local main

local runner = async(function(seconds, line)
  await(sleep(seconds))
  say(seconds, "arrives")
  await(line:wait())
  return now() > 2.9
end)

main = async(function()
  local line = barrier(3)
  say(table.unpack(await(gather(runner(3, line), runner(1, line), runner(2, line)))))
end)

return { title = "barrier", lesson = "The twin of 26-barrier.py.", main = async(function() return await(main()) end) }
