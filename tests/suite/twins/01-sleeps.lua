local function say(...) print(string.format("%.1f", now()), ...) end
local main

local nap = async(function(name, seconds)
  say(name, "begins")
  await(sleep(seconds))
  say(name, "ends")
end)

main = async(function()
  await(nap("one", 1))
  await(nap("two", 0.5))
  say("done")
end)

return { title = "sleeps", lesson = "The twin of 01-sleeps.py.", main = async(function() return await(main()) end) }
