import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, deadline, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { controlClient } from '../control/control-client.ts'

const UP_MS = 30_000
const DOWN_MS = 180_000
const POLL_MS = 50

/** A Sublet of its own process, which can be killed. */
export class SubletProcess {
  readonly #dir: string
  readonly #log: string
  readonly #clock: Clock
  readonly #env: NodeJS.ProcessEnv
  #argv: readonly string[] = []
  #child: ChildProcess | undefined
  #exited: Promise<number | null> = Promise.resolve(0)

  /** `dir`: Sublet's work folder. `log`: where its output goes. `env`: added to the environment. */
  constructor(dir: string, log: string, clock: Clock, env: Readonly<Record<string, string>> = {}) {
    this.#env = { ...process.env, ...env }
    this.#dir = dir
    this.#log = log
    this.#clock = clock
  }

  get client() {
    return controlClient(join(this.#dir, 'control.sock'))
  }

  get alive(): boolean {
    return this.#child !== undefined
  }

  /** What this Node runs from now on, such as `cli.ts start --config F`; starts it unless one runs. */
  run(argv: readonly string[]): void {
    this.#argv = argv
    if (!this.alive) this.start()
  }

  start(): void {
    const log = openSync(this.#log, 'a')
    const child = spawn(process.execPath, this.#argv, {
      stdio: ['ignore', log, log],
      detached: true,
      env: this.#env,
    })
    closeSync(log)
    this.#child = child
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        if (this.#child === child) this.#child = undefined
        resolve(code)
      })
    })
  }

  /** Resolves when it answers; rejects if it ends before. */
  async up(): Promise<void> {
    if (this.#child === undefined) this.start()
    const late = (): Error =>
      new SubletError('exec-timeout', `Sublet did not answer within ${UP_MS} ms; see ${this.#log}`)
    const limit = deadline(this.#clock, UP_MS, late)
    try {
      while (!(await this.answers())) {
        if (this.#child === undefined)
          throw new SubletError('exec-failed', `Sublet ended before it answered; see ${this.#log}`)
        await sleep(this.#clock, POLL_MS, limit.signal)
      }
    } finally {
      limit.done()
    }
  }

  async answers(): Promise<boolean> {
    try {
      await this.client.get('/status', { timeoutMs: 2_000 })
      return true
    } catch (error) {
      if (error instanceof SubletError) return false
      throw error
    }
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  /** Gives everything back and ends. */
  release(): Promise<void> {
    return this.end(true)
  }

  async end(release: boolean): Promise<void> {
    if (this.#child === undefined) return
    await this.client.post('/stop', { release })
    const late = (): Error =>
      new SubletError('deadline-missed', `Sublet did not end within ${DOWN_MS} ms; see ${this.#log}`)
    const limit = deadline(this.#clock, DOWN_MS, late)
    try {
      while (this.#child !== undefined) await sleep(this.#clock, POLL_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  /** Resolves when it has ended by itself. */
  ended(): Promise<number | null> {
    return this.#exited
  }
}
