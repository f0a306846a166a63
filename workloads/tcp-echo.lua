local SIZE = 1 << 16
local function block_of(number) return string.format("%016d", number):rep(SIZE // 16) end

local serve = async(function(socket)               -- until the peer has finished writing
  for bytes in each(socket) do await(socket:write(bytes)) end
  socket:finish()
end)

local send = async(function(socket, blocks)
  for number = 1, blocks do
    await(socket:write(block_of(number)))          -- waits while the peer does not read
    if number % 16 == 0 then await(yield_now()) end   -- yields even if the buffers have room
  end
  socket:finish()
end)

local receive = async(function(socket, blocks)
  local rest = ""
  for number = 1, blocks do
    while #rest < SIZE do rest = rest .. (await(socket:read(SIZE)) or fail("the echo ended early")) end
    if rest:sub(1, SIZE) ~= block_of(number) then fail("block " .. number .. " came back changed") end
    rest = rest:sub(SIZE + 1)
    if number % 16 == 0 then await(yield_now()) end
  end
  return await(socket:read()) ~= nil
end)

return {
  title  = "Echo through real sockets",
  lesson = "Every byte comes back. The client reads while it writes; if both only wrote, both would wait forever.",
  clock  = "real",
  params = { mebibytes = { default = 64, min = 1, max = 1024, help = "amount of data in MiB" } },
  expects = { findings = {} },
  main = async(function(p)
    local listener, blocks = tcp_listen(), p.mebibytes * 16
    local client = await(tcp_connect(listener:port()))
    local echo, sender = create_task(serve(await(listener:accept()))), create_task(send(client, blocks))
    return { bytes = blocks * SIZE, more = await(gather(receive(client, blocks), echo, sender))[1] }
  end),
}
