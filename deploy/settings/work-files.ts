import { join } from 'node:path'

/** Files of a work folder. */
export const inDir = (dir: string) => ({
  socket: join(dir, 'control.sock'),
  auth: join(dir, 'auth'),
  log: join(dir, 'sublet.log'),
  keys: join(dir, 'keys'),
  peers: join(dir, 'peers.json'),
  hour: join(dir, 'hour.json'),
  charts: join(dir, 'charts'),
  recordings: join(dir, 'recordings'),
  archive: join(dir, 'archive'),
  database: (actor: string) => join(dir, `${actor}.db`),
})
