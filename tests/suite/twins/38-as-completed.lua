local function say(...) print(string.format("%.1f", now()), ...) end
local main

local nap = async(function(seconds)
  await(sleep(seconds))
  return seconds
end)

main = async(function()
  for _, result in each(as_completed{ nap(3), nap(1), nap(2) }) do say(result) end
end)

return { title = "as-completed", lesson = "The twin of 38-as-completed.py.", main = async(function() return await(main()) end) }
