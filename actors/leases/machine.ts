/**
 * A state machine is a table: for each state, the events it knows and the state each leads to. A pair
 * that is not listed has no next state.
 */
export type Machine<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>

export const nextState = <State extends string, Event extends string>(
  machine: Machine<State, Event>,
  from: State,
  event: Event,
): State | undefined => machine[from][event]
