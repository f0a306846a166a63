local function say(...) print(string.format("%.1f", now()), ...) end
local main

local nap = async(function(seconds)
  await(sleep(seconds))
  say("woke", seconds)
  return seconds
end)

main = async(function()
  local results = await(gather(nap(3), nap(1), nap(2)))
  say(table.unpack(results, 1, results.n))
end)

return { title = "gather-order", lesson = "The twin of 03-gather-order.py.", main = async(function() return await(main()) end) }
