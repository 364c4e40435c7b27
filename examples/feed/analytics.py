"""Analytics: what was traded of each symbol, from messages that are arrays of ticks. The module `tick` is what start.ts wrote."""

import millrace
import numpy
import tick


def main():
    volume, turnover, trades = numpy.zeros(4), numpy.zeros(4), 0
    with millrace.QueueConsumer("feed-trades", schema=tick.Tick_FINGERPRINT) as messages:
        while (message := messages.peek()) is not None:
            with message:
                ticks = message.array(tick.Tick_dtype(), len(message) // 24)  # where TypeScript wrote them
                numpy.add.at(volume, ticks["symbol"], ticks["size"])
                numpy.add.at(turnover, ticks["symbol"], ticks["size"] * ticks["price"])
                trades += len(ticks)
    for symbol in range(4):
        print(f"analytics: symbol {symbol}: mean price {turnover[symbol] / volume[symbol]:.2f}")
    print(f"analytics: {trades} trades, turnover {turnover.sum():.2f}", flush=True)


main()
