/** Bad luck of Sublet itself: killed, told to end, refused, its disk full; and its commands. */
import './killed.ts'
import './store.ts'
import './refused.ts'
import './commands.ts'
