-- An actor owns its state alone: who wants something sends a request with a place for the answer.
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
  title  = "Ask and be answered",
  lesson = "No lock is needed where one task owns the state. A oneshot channel brings back each answer to who asked.",
  clock  = "virtual",
  params = { deposits = { default = 5, min = 1, max = 10000, help = "how many deposits are made at once" } },
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
