import type { HttpPort } from '../ports/http.ts'
import type { Connection, FrameReceiver, Listener, Net } from '../ports/net.ts'
import type { Life } from './life.ts'

/** A net whose listeners and connections end with the life, without a word to the broker that had them. */
export function netOf(life: Life, net: Net): Net {
  return {
    async listen(options, accept) {
      const listening = net
        .listen(options, (connection) => (life.isAlive ? guarded(life, connection, accept(connection)) : undefined))
        .then((listener) => closedWith(life, listener))
      return life.settle(listening)
    },
    connect(options, receiver) {
      if (!life.isAlive) throw new Error(`connect to ${options.host}:${options.port}: the broker was killed`)
      const tie: { forget: () => void } = { forget: () => {} }
      const connection = net.connect(options, guardReceiver(life, receiver, tie))
      tie.forget = life.onCut(() => connection.destroy())
      return connection
    },
  }
}

export function httpOf(life: Life, http: HttpPort): HttpPort {
  return { serve: (where, answer) => life.settle(http.serve(where, answer).then((listener) => closedWith(life, listener))) }
}

/** A listener that was bound after the end is closed at once. */
function closedWith<L extends Listener>(life: Life, listener: L): L {
  if (life.isAlive) life.onCut(() => void listener.close())
  else void listener.close()
  return listener
}

function guarded(life: Life, connection: Connection, receiver: FrameReceiver | undefined): FrameReceiver | undefined {
  return receiver && guardReceiver(life, receiver, { forget: life.onCut(() => connection.destroy()) })
}

function guardReceiver(life: Life, receiver: FrameReceiver, tie: { readonly forget: () => void }): FrameReceiver {
  return {
    onFrame: (buffer, start, end) => {
      if (life.isAlive) receiver.onFrame(buffer, start, end)
    },
    maxFrameBytes: () => (life.isAlive ? receiver.maxFrameBytes() : 0),
    onClose: (reason, error) => {
      tie.forget()
      if (life.isAlive) receiver.onClose(reason, error)
    },
    ...(receiver.onConnect && { onConnect: life.guard(() => receiver.onConnect?.()) }),
    ...(receiver.onReadEnd && { onReadEnd: life.guard(() => receiver.onReadEnd?.()) }),
    ...(receiver.onBadFrame && { onBadFrame: life.guard((length: number) => receiver.onBadFrame?.(length)) }),
    ...(receiver.onDrain && { onDrain: life.guard(() => receiver.onDrain?.()) }),
  }
}
