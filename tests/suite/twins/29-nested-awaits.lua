local function say(...) print(string.format("%.1f", now()), ...) end
local main

local level
level = async(function(depth)
  if depth == 0 then
    await(sleep(1))
    return 1
  end
  local below = await(level(depth - 1))
  say("level", depth)
  return below + 1
end)

main = async(function() say(await(level(3))) end)

return { title = "nested-awaits", lesson = "The twin of 29-nested-awaits.py.", main = async(function() return await(main()) end) }
