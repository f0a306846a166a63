local SIZE = 1 << 16
local function block_of(number) return string.format("block %09d\n", number):rep(SIZE // 16) end

local read = async(function(name, socket)              -- file -> socket
  local file <close> = await(open_file(name))
  for bytes in each(file) do await(socket:write(bytes)) end
  socket:finish()                                      -- signals the end to the next stage
end)

local shout = async(function(from, to)                 -- socket -> socket
  for bytes in each(from) do await(to:write(bytes:upper())) end
  to:finish()
end)

local write = async(function(socket, name)             -- socket -> file
  local file <close> = await(open_file(name, "write"))
  for bytes in each(socket) do await(file:write(bytes)) end
end)

return {
  title  = "A pipeline of files and sockets",
  lesson = "Tasks pass bytes on, from file to socket to file. Each task holds one chunk at a time, so the slowest sets "
        .. "the pace. Each task ends when the previous one signals the end of its data.",
  clock  = "real",
  params = { mebibytes = { default = 8, min = 1, max = 1024, help = "amount of data in MiB" } },
  expects = { findings = {} },
  main = async(function(p)
    local blocks, listener = p.mebibytes * 16, tcp_listen()
    local a, b = await(tcp_connect(listener:port())), await(listener:accept())
    local c, d = await(tcp_connect(listener:port())), await(listener:accept())
    for number = 1, blocks do await(append_file("in.txt", block_of(number))) end
    await(gather(read("in.txt", a), shout(b, c), write(d, "out.txt")))
    local result <close> = await(open_file("out.txt"))
    for number = 1, blocks do
      if await(result:read(SIZE)) ~= block_of(number):upper() then fail("block " .. number .. " came out wrong") end
    end
    return { bytes = blocks * SIZE, more = await(result:read()) ~= nil }
  end),
}
