-- An actor owns its state exclusively. Other tasks send it requests that contain a channel for the reply.
local account = async(function(requests)
  local balance = 0
  for request in each(requests) do
    await(sleep("10ms"))
    balance = balance + request.amount
    request.reply:send(balance)
  end
end)

local deposit = async(function(requests, amount)
  local reply = oneshot()
  await(requests:send({ amount = amount, reply = reply }))
  return await(reply:recv())
end)

return {
  title  = "Request and reply",
  lesson = "If one task owns the state, no lock is needed. A oneshot channel returns each reply to its requester.",
  clock  = "virtual",
  params = { deposits = { default = 5, min = 1, max = 10000, help = "number of concurrent deposits" } },
  expects = { findings = {} },
  main = async(function(p)
    local requests, deposits = channel(), {}
    local actor = create_task(account(requests))
    for n = 1, p.deposits do deposits[n] = deposit(requests, n * 10) end
    local balances = await(gather(deposits))
    requests:close()
    await(actor)
    return balances
  end),
}
