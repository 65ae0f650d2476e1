/** Bad luck of Sublet itself: killed, told to end, refused, its disk full; its commands, and its users and administrator. */
import './killed.ts'
import './store.ts'
import './refused.ts'
import './admin.ts'
import './maintained.ts'
import './by-hand.ts'
import './restored.ts'
import './commands.ts'
