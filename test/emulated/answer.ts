/** What a command of an emulated server answers, as a process would. */
export interface Answer {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface Asked {
  readonly program: string
  readonly args: readonly string[]
  readonly user: string
  readonly input: string
}

export const said = (stdout = ''): Answer => ({ exitCode: 0, stdout, stderr: '' })
export const failed = (exitCode: number, stderr: string): Answer => ({
  exitCode,
  stdout: '',
  stderr: stderr.endsWith('\n') ? stderr : `${stderr}\n`,
})

/** `getent hosts NAME` or ADDRESS, of the server's host. */
export function getent(hosts: ReadonlyMap<string, string>, { args }: Asked): Answer {
  const [, what = ''] = args
  const [name, address] = [...hosts].find((entry) => entry.includes(what)) ?? []
  return name === undefined ? { exitCode: 2, stdout: '', stderr: '' } : said(`${address}      ${name}\n`)
}

/** `timeout 5 bash -c … HOST PORT`, or what of it a program of a folder sees: whether something listens there. */
export function knocked(
  hosts: ReadonlyMap<string, string>,
  isOpen: (host: string, port: number) => boolean,
  { args }: Asked,
): Answer {
  const [host = '', port = ''] = args.slice(-2)
  const place = `bash: connect: Connection refused\nbash: line 1: /dev/tcp/${host}/${port}: Connection refused\n`
  if (![...hosts].flat().includes(host)) return failed(1, `bash: line 1: ${host}: Name or service not known`)
  return isOpen(host, Number(port)) ? said() : failed(1, place)
}
