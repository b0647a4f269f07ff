#ifndef WW_ROOM_H
#define WW_ROOM_H
#include "ww.h"

/* Memory of a thread, aligned to 64 bytes, kept from call to call and given back when the thread ends. Its variable is _Thread_local. */
typedef struct Room {
  void *memory;
  int64_t floats;
  struct Room *next;
} Room;

void ww_grow(Room *room, int64_t floats);

/* Memory for at least so many floats; what the last call left there may be gone. */
static inline void *room_for(Room *room, int64_t floats) {
  if (room->floats < floats) ww_grow(room, floats);
  return room->memory;
}

#endif
