-- Computes until the program says that it is over.
local x = 1
repeat
  for _ = 1, 1000 do x = (x * 16807) % 2147483647 end
until step()
