-- A page arrives every second; yield hands it over and pauses until the next is asked for.
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
  lesson = "A generator makes one value after the other, and may wait for each. Whoever reads it waits too; everybody "
        .. "else goes on.",
  clock  = "virtual",
  params = { pages = { default = 3, min = 1, max = 10000, help = "how many pages there are" } },
  expects = { findings = {} },
  main = async(function(p)
    local hand = create_task(clock_hand(p.pages))
    for page in each(pages(p.pages)) do print("page " .. page .. " at " .. now() .. " s") end
    await(hand)
  end),
}
