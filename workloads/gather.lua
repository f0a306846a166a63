-- Sorts a list after sleeping for as many seconds as its largest number.
local sorted = async(function(list)
  await(sleep(math.max(table.unpack(list))))
  table.sort(list)
  return list
end)

return {
  title  = "Gather two results",
  lesson = "gather waits for several tasks and returns their results in argument order, not in the order in which "
        .. "they finish.",
  clock  = "virtual",
  expects = { findings = {} },
  main = async(function()
    local short = create_task(sorted({ 3, 2, 1 }))     -- ready after 3 s
    local long  = create_task(sorted({ 10, 5, 0 }))    -- ready after 10 s
    local results = await(gather(short, long))
    print("short is done: " .. tostring(short:done()))
    print("long is done: " .. tostring(long:done()))
    return results
  end),
}
