-- Answers each datagram with itself, until one says "!"; "?" asks how far those who compute have come.
while true do
  local text = receive()
  if text == "!" then break end
  if text == "?" then text = tostring(steps()) end
  send(text)
end
