local function say(...) print(string.format("%.1f", now()), ...) end
local main

local nap = async(function(seconds, breaks)
  await(sleep(seconds))
  if breaks then error("broken", 0) end
  return seconds
end)

local nothing = async(function() return nil end)

main = async(function()
  local results = await(gather(nap(1, true), nothing(), nap(2, false), { return_exceptions = true }))
  say(results.n, results[1].kind == "error", results[1].message, results[2] == nil, results[3])
end)

return { title = "gather-return-exceptions", lesson = "The twin of 05-gather-return-exceptions.py.", main = async(function() return await(main()) end) }
