/* Position i of n lies at table[i] * outer, 65535 for a zero; without a table at i / inner * outer + i % inner * step. */
typedef struct {
    int32_t n, outer, inner, step;
    const uint16_t *table;
} $P_axis;

/* Elements of an image: rows, columns and groups of run channels, from start on. */
typedef struct {
    int32_t start, run;
    $P_axis axes[3];
} $P_map;

$P_INLINE int32_t $P_along(const $P_axis *axis, int32_t i)
{
    if (axis->table) {
        return axis->table[i] == 65535 ? -1 : axis->table[i] * axis->outer;
    }
    return i / axis->inner * axis->outer + i % axis->inner * axis->step;
}
