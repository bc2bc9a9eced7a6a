$P_FUNCTION void $P_index_map_$S(const $X *x, $Y *y, const $P_map *map, const $P_rows *range,
    int32_t row_elements)
{
    int32_t n = 0, start = map->start - range->top * row_elements;
    for (int32_t i = range->first; i < range->end; i++) {
        int32_t row = $P_along(&map->axes[0], i);
        for (int32_t j = 0; j < map->axes[1].n; j++) {
            int32_t column = $P_along(&map->axes[1], j);
            for (int32_t k = 0; k < map->axes[2].n; k++) {
                int32_t channel = $P_along(&map->axes[2], k);
                int32_t from = start + row + column + channel;
                int is_zero = row < 0 || column < 0 || channel < 0;
                for (int32_t end = n + map->run; n < end; n++, from++) {
                    $P_put_$Y4(y, n, is_zero ? 0 : $P_at_$X4(x, from));
                }
            }
        }
    }
}
