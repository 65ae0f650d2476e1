import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Answer, Asked } from './answer.ts'

/** The commands of an emulated server as small programs in a folder, which ask it over loopback. */
export interface Door {
  /** To be put first in PATH. */
  readonly bin: string
  /** The server's process ends; its commands find nobody. */
  shut(): Promise<void>
  open(): Promise<void>
  close(): Promise<void>
}

/**
 * One shell script by many names: it sends its words, and prints and ends as it is told. Only what reads its
 * standard input here does there. `dead`: what the programs do when nobody answers, shell words by program name.
 */
const script = (port: number, dir: string, readsInput: string, dead: string): string => `#!/bin/bash
me=\${0##*/} input=
[ -e '${dir}/hang' ] && exec sleep 7200
${dead}
{ exec 3<>/dev/tcp/127.0.0.1/${port}; } 2>/dev/null || unanswered
case "$me $*" in ${readsInput}) input=$(cat) ;; esac
printf '%s\\0' "$me" "\${EMULATED_USER:-root}" "$input" "$#" "$@" >&3
read -r code out err <&3 || unanswered
[ "$out" -gt 0 ] && head -c "$out" <&3
[ "$err" -gt 0 ] && head -c "$err" <&3 >&2
exit "$code"
`

export async function door(
  dir: string,
  options: {
    readonly programs: readonly string[]
    /** A case pattern on “program arguments”. */
    readonly readsInput: string
    readonly dead: string
    readonly answer: (asked: Asked) => Promise<Answer>
  },
): Promise<Door> {
  const bin = join(dir, 'bin')
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let port = 0

  const serve = (socket: Socket): void => {
    sockets.add(socket)
    let heard = Buffer.alloc(0)
    let isAsked = false
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk])
      const words = heard.toString('utf8').split('\0')
      const [program = '', user = '', input = '', count = '', ...rest] = words
      if (isAsked || count === '' || words.length < 4 + Number(count) + 1) return
      isAsked = true
      options
        .answer({ program, user, input, args: rest.slice(0, Number(count)) })
        .then(({ exitCode, stdout, stderr }) => {
          socket.end(
            `${exitCode} ${Buffer.byteLength(stdout)} ${Buffer.byteLength(stderr)}\n${stdout}${stderr}`,
          )
        })
        .catch((error: unknown) => socket.destroy(error instanceof Error ? error : undefined))
    })
  }

  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const opened = createServer(serve)
      opened.once('error', reject)
      opened.listen(port, '127.0.0.1', () => {
        const address = opened.address()
        port = typeof address === 'object' && address !== null ? address.port : port
        server = opened
        resolve()
      })
    })
  const shut = async (): Promise<void> => {
    const opened = server
    server = undefined
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => (opened === undefined ? resolve() : opened.close(() => resolve())))
  }

  await open()
  await mkdir(bin, { recursive: true })
  const file = join(dir, 'program')
  await writeFile(file, script(port, dir, options.readsInput, options.dead))
  await chmod(file, 0o755)
  for (const program of options.programs) await symlink(file, join(bin, program))
  return { bin, open, shut, close: shut }
}
