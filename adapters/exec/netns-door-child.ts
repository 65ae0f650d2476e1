import { Socket } from 'node:net'

/** The far side of netns-door.ts: it was started inside the network, dials, and hands the socket out. */
export interface DoorRequest {
  readonly id: number
  readonly host: string
  readonly port: number
}
export interface DoorAnswer {
  readonly id: number
  /** Undefined if the socket comes with this answer. */
  readonly refusal: string | undefined
}

const answer = (message: DoorAnswer, socket?: Socket): void => {
  process.send?.(message, socket, {}, (error) => {
    // The other side went away while we dialled; the socket has nobody to go to.
    if (error !== null) socket?.destroy()
  })
}

process.on('message', ({ id, host, port }: DoorRequest) => {
  const socket = new Socket()
  // What the server says first must still be in the kernel when the socket is handed over.
  socket.pause()
  socket.once('error', (error) => answer({ id, refusal: error.message }))
  socket.once('connect', () => {
    socket.removeAllListeners('error')
    socket.on('error', () => socket.destroy())
    answer({ id, refusal: undefined }, socket)
  })
  socket.connect(port, host)
})

process.on('disconnect', () => process.exit(0))
