-- A page arrives every second; yield returns it to the reader and suspends until the next one is requested.
local pages = async_generator(function(yield, count)
  for page = 1, count do
    await(sleep(1))
    yield(page)
  end
end)

local clock_hand = async(function(seconds)
  for _ = 1, seconds do
    await(sleep("500ms"))
    print("the others run")
    await(sleep("500ms"))
  end
end)

return {
  title  = "An async generator",
  lesson = "An async generator yields values one by one and may await before each. Its reader waits meanwhile; other "
        .. "tasks keep running.",
  clock  = "virtual",
  params = { pages = { default = 3, min = 1, max = 10000, help = "number of pages" } },
  expects = { findings = {} },
  main = async(function(p)
    local hand = create_task(clock_hand(p.pages))
    for page in each(pages(p.pages)) do print("page " .. page .. " at " .. now() .. " s") end
    await(hand)
  end),
}
