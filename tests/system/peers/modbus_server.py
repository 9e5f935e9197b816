#!/usr/bin/python3
"""A plant of Modbus units with known values, made of Debian's pymodbus 3.0.0.

    modbus_server.py --tcp PORT | --rtu DEVICE   --units 1-20
                     [--dead 7] [--slow 9:300ms] [--exception 5[:CODE]]

--dead, --slow and --exception may be repeated.  Prints READY once it serves, ends
on SIGTERM.  SIGUSR1 lets the dead answer and silences those that answered; a
second one turns it back.

Holding and input registers of unit U (zero-based addresses, big-endian unless said):

     0     uint16   counter: how often this register of this table was read
     1     uint16   U
     2     int16    -1000 - U
    10-11  int32    -100000 - U
    12-13  int32    the same, bytes of each register swapped
    14-15  int32    the same, registers swapped
    16-17  int32    the same, both swapped
    20-21  float32  U + 0.5
    24-27  float64  U + 0.125
    30-33  uint64   2**64 - U
    40-47  string   "unit U <degree sign>C" in Latin-1, padded with spaces and NULs
    50     bits     0xA5A5
    56-63  do not exist: exception 2
    64-399          (1000 * U + address) % 65536

Coil I is on where (I + U) % 3 == 0, discrete input I where (I + U) % 5 == 0; there are
2048 of each.
"""

import argparse
import asyncio
import os
import signal
import struct
import sys
import tty

from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext
from pymodbus.factory import ServerDecoder
from pymodbus.framer.rtu_framer import ModbusRtuFramer
from pymodbus.framer.socket_framer import ModbusSocketFramer

FIRST_HOLE, AFTER_HOLE, REGISTERS = 56, 64, 400
BITS = 2048
SLAVE_FAILURE = 4


class Registers:
    """One table of registers; reading register 0 counts."""

    def __init__(self, unit):
        self.values = [(1000 * unit + a) % 65536 for a in range(REGISTERS)]
        self.put(0, ">HHh", 0, unit, -1000 - unit)
        number = struct.pack(">i", -100000 - unit)
        self.raw(10, number)
        self.raw(12, bytes(number[i] for i in (1, 0, 3, 2)))
        self.raw(14, number[2:] + number[:2])
        self.raw(16, number[::-1])
        self.put(20, ">f", unit + 0.5)
        self.put(24, ">d", unit + 0.125)
        self.put(30, ">Q", 2**64 - unit)
        text = f"unit {unit} \u00b0C".encode("latin-1")
        self.raw(40, (text + b"  ").ljust(16, b"\0"))
        self.put(50, ">H", 0xA5A5)

    def raw(self, address, data):
        for i in range(0, len(data), 2):
            self.values[address + i // 2] = int.from_bytes(data[i : i + 2], "big")

    def put(self, address, layout, *values):
        self.raw(address, struct.pack(layout, *values))

    def validate(self, address, count=1):
        inside = address >= 0 and address + count <= REGISTERS
        return inside and (address + count <= FIRST_HOLE or address >= AFTER_HOLE)

    def getValues(self, address, count=1):  # pymodbus's name
        if address == 0:
            self.values[0] = (self.values[0] + 1) % 65536
        return self.values[address : address + count]


class Bits:
    def __init__(self, unit, step):
        self.values = [(i + unit) % step == 0 for i in range(BITS)]

    def validate(self, address, count=1):
        return address >= 0 and address + count <= BITS

    def getValues(self, address, count=1):
        return self.values[address : address + count]


def unit_context(unit):
    return ModbusSlaveContext(
        hr=Registers(unit), ir=Registers(unit), co=Bits(unit, 3), di=Bits(unit, 5), zero_mode=True
    )


class Behaviour:
    """What is wrong with which unit."""

    def __init__(self, args):
        self.dead = set(args.dead)
        self.slow = dict(args.slow)
        self.exception = dict(args.exception)
        self.reversed = False

    def turn(self):
        self.reversed = not self.reversed

    def is_dead(self, unit):
        return (unit in self.dead) != self.reversed

    def answer(self, context, request, send):
        """Executes a request and sends its response, perhaps later, perhaps never."""
        unit = request.unit_id
        if self.is_dead(unit) or unit not in context.slaves():
            return
        if unit in self.exception:
            response = request.doException(self.exception[unit])
        else:
            response = request.execute(context[unit])
        response.transaction_id = request.transaction_id
        response.unit_id = unit
        if unit in self.slow:
            asyncio.get_running_loop().call_later(self.slow[unit], send, response)
        else:
            send(response)


# pymodbus's own server modules cannot be imported without pyserial, so the transports are ours; decoding, execution and
# framing are pymodbus's.


async def serve_tcp(port, context, behaviour):
    async def client(reader, writer):
        framer = ModbusSocketFramer(ServerDecoder(), client=None)

        def send(response):
            if not writer.is_closing():
                writer.write(framer.buildPacket(response))

        try:
            while data := await reader.read(4096):
                feed(framer, data, context, behaviour, send)
        except ConnectionError:
            pass  # a client that leaves is no error
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", port)
    print("READY", flush=True)
    await server.serve_forever()


async def serve_rtu(device, context, behaviour):
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(fd)
    framer = ModbusRtuFramer(ServerDecoder(), client=None)

    def send(response):
        os.write(fd, framer.buildPacket(response))

    def readable():
        feed(framer, os.read(fd, 512), context, behaviour, send)

    asyncio.get_running_loop().add_reader(fd, readable)
    print("READY", flush=True)
    await asyncio.Event().wait()


def feed(framer, data, context, behaviour, send):
    framer.processIncomingPacket(
        data, lambda request: behaviour.answer(context, request, send), unit=context.slaves(), single=False
    )


# -- command line --------------------------------------------------------------


def unit_list(text):
    units = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        units += range(int(first), int(last or first) + 1)
    return units


def slow_unit(text):
    unit, _, delay = text.partition(":")
    return int(unit), float(delay.removesuffix("ms")) / 1000


def exception_unit(text):
    unit, _, code = text.partition(":")
    return int(unit), int(code or SLAVE_FAILURE)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", type=int, metavar="PORT")
    where.add_argument("--rtu", metavar="DEVICE")
    parser.add_argument("--units", type=unit_list, default=[1])
    parser.add_argument("--dead", type=int, action="append", default=[], metavar="UNIT")
    parser.add_argument("--slow", type=slow_unit, action="append", default=[], metavar="UNIT:MS")
    parser.add_argument("--exception", type=exception_unit, action="append", default=[], metavar="UNIT[:CODE]")
    args = parser.parse_args()
    context = ModbusServerContext({u: unit_context(u) for u in args.units}, single=False)
    behaviour = Behaviour(args)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, sys.exit, 0)
    loop.add_signal_handler(signal.SIGUSR1, behaviour.turn)
    if args.rtu:
        await serve_rtu(args.rtu, context, behaviour)
    else:
        await serve_tcp(args.tcp, context, behaviour)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
