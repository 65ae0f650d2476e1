import { type Whose, workFolder } from '../upkeep/work-folder.ts'
import { print, printJson } from './terminal.ts'

/** The Sublet that runs in the work folder that is meant. */
export async function clientFor(whose: Whose) {
  const { controlClient } = await import('../control/control-client.ts')
  const { inDir } = await import('../settings/work-files.ts')
  return controlClient(inDir(await workFolder(whose)).socket)
}

/** Puts an order to it, and prints its answer, or what is said of it. */
export async function putOrder(
  path: string,
  body: object,
  options: Whose & { readonly json?: true },
  say: (answer: unknown) => string,
): Promise<undefined> {
  const answer = await (await clientFor(options)).post(path, body)
  if (options.json === true) printJson(answer)
  else print(say(answer))
  return undefined
}
