local download = async(function(lock)
  local file <close> = await(lock:lock())
  local tidy <close> = setmetatable({}, { __close = function() print("the half file is deleted") end })
  print("downloading")
  await(sleep("1h"))
  print("never reached")
end)

return {
  title  = "Cancel, and clean up",
  lesson = "A cancel raises an error where the task waits. Its <close> variables are closed, and may await; its locks "
        .. "are released.",
  clock  = "virtual",
  expects = { findings = {} },
  main = async(function()
    local lock = mutex{ name = "file" }
    local task = create_task(download(lock))
    await(sleep(2))
    task:cancel()
    local file <close> = await(lock:lock())        -- waits until the cancelled task releases it
    print("the lock is free again at " .. now() .. " s")
    local _, message = pcall(await, task)
    print((message:gsub("^.-:%d+: ", "")))
    return task:done()
  end),
}
