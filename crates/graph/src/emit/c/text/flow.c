/* What a stage of a part reads and writes: rows in memory, and which they are. */
typedef struct {
    const uint8_t *x[4];
    uint8_t *y, *scratch;
    $P_rows rows;
} $P_call;

/* Where rows of a value lie in a buffer, and which values its stage reads, 255 for none: the first one from the first
 * row that is held where it has windows, else the same row. */
typedef struct {
    uint32_t offset;
    uint16_t row_bytes;
    uint8_t buffer, has_windows, inputs[4];
} $P_value;

/* Stages whose rows flow: an action computes the next row of a stage's value, or, with 128 more and a number of rows
 * behind it, gives up the first rows that are held. */
typedef struct {
    const $P_value *values;
    const uint8_t *actions;
    void (*compute)(int32_t stage, const $P_call *call);
    uint16_t n_actions, state_bytes;
    uint8_t n_stages, takes; /* whether rows of stage 0 are given */
} $P_part;

/* The first row of a value that is held, and the next one that is computed. */
typedef struct {
    int16_t top, next;
} $P_held;

#if defined(__GNUC__)
typedef struct __attribute__((may_alias)) {
    uint32_t words[8];
} $P_block;
typedef uint32_t __attribute__((may_alias)) $P_word;
#endif

/* n bytes, to a lower address where they overlap. */
$P_FUNCTION void $P_move(uint8_t *to, const uint8_t *from, int32_t n)
{
#if defined(__GNUC__)
    const int32_t size = (int32_t)sizeof($P_block);
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0 && (uintptr_t)from - (uintptr_t)to >= sizeof($P_block)) {
        for (; n >= size; n -= size) {
            *($P_block *)(void *)to = *(const $P_block *)(const void *)from;
            to += size;
            from += size;
        }
        for (; n >= 4; n -= 4) {
            *($P_word *)(void *)to = *(const $P_word *)(const void *)from;
            to += 4;
            from += 4;
        }
    }
#endif
    for (; n > 0; n--) {
        *to++ = *from++;
    }
}

/* Before the first action of a part. */
$P_FUNCTION void $P_start(const $P_part *part, uint8_t *state)
{
    for (int32_t i = 0; i < part->state_bytes; i++) {
        state[i] = 0;
    }
}

/* Runs a part to its end, or to the row after the one that is given. */
$P_FUNCTION void $P_flow(const $P_part *part, uint8_t *const *buffers, uint8_t *state, const void *row)
{
    uint16_t *at = (uint16_t *)(void *)state;
    $P_held *strips = ($P_held *)(void *)(state + 4);
    $P_call call;
    call.scratch = state + part->state_bytes;
    while (*at < part->n_actions) {
        int32_t action = part->actions[*at], stage = action & 127;
        const $P_value *value = part->values + stage;
        $P_held *strip = strips + stage;
        uint8_t *rows = buffers[value->buffer] + value->offset;
        if (action & 128) {
            int32_t n = part->actions[*at + 1];
            strip->top = (int16_t)(strip->top + n);
            $P_move(rows, rows + n * value->row_bytes, (strip->next - strip->top) * value->row_bytes);
            *at = (uint16_t)(*at + 2);
            continue;
        }
        call.y = rows + (strip->next - strip->top) * value->row_bytes;
        if (stage == 0 && part->takes) {
            if (!row) {
                return;
            }
            $P_move(call.y, (const uint8_t *)row, value->row_bytes);
            row = 0;
        } else {
            for (int32_t i = 0; i < 4 && value->inputs[i] < 255; i++) {
                const $P_value *x = part->values + value->inputs[i];
                int32_t top = value->inputs[i] < part->n_stages ? strips[value->inputs[i]].top : 0;
                int32_t first = i == 0 && value->has_windows ? top : strip->next;
                call.x[i] = buffers[x->buffer] + x->offset + (first - top) * x->row_bytes;
                if (i == 0) {
                    call.rows.top = (int16_t)top;
                }
            }
            call.rows.first = strip->next;
            call.rows.end = (int16_t)(strip->next + 1);
            part->compute(stage, &call);
        }
        strip->next = (int16_t)(strip->next + 1);
        *at = (uint16_t)(*at + 1);
    }
}
